"""Few-shot evaluation as in the paper (F2 2.5, A.2, B.1.4, B.1.5).

tasks      a local copy of a benchmark -> query and support cases (no model, no torch)
media      what stands behind a case: one picture, or the frames of a clip
prompts    shots and query -> ids, phi, and which picture each tag carries
shots      which support cases a query is shown: drawn, or the most alike (RICES)
metrics    CIDEr, VQA accuracy, top-1, ROC AUC
run        the whole, over ranks: results with their settings
"""
