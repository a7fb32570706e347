"""What predictions are worth: CIDEr, VQA accuracy, top-1, ROC AUC; all in percent, as papers print them."""
