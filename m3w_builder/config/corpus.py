"""What is decided by looking at many documents at once: how often things occur, which are copies, and of what."""

from typing import Annotated, Literal

from pydantic import Field

from m3w_builder.config.section import PLUGIN, Count, Ratio, Section

# ALIGN (Jia et al. 2021, arXiv 2102.05918, section 3), the rules that need the whole corpus.
MAX_IMAGES_PER_TEXT = 10  # "alt-texts that are shared by more than 10 images" are discarded
MAX_TEXTS_PER_IMAGE = 1000  # "images with more than 1000 associated alt-texts"
VOCABULARY = 100_000_000  # "100 million most frequent unigrams and bigrams"
MAX_PAGES_PER_IMAGE = 10  # OBELICS: an image seen more often is a logo, an icon, an advertisement

# Documents. At 128 permutations the estimate of a Jaccard index of 0.85 exceeds 0.75 in 99.9 % of cases.
MIN_JACCARD = 0.75
MIN_JOINT_JACCARD = 0.6  # of texts that stand with the same pictures
MIN_JOINT_IMAGES = 0.5

MAX_IMAGE_DISTANCE = 31  # bits of PDQ's 256: the threshold of its authors

# Evaluation texts: MassiveText (Rae et al. 2021, arXiv 2112.11446) drops documents whose 13-gram Jaccard
# index with a test document is 0.8; a caption in a long page never reaches that, so the share is of the
# caption's n-grams. Llama 2 (2023, A.6) calls an example contaminated at the same share.
MIN_TEXT_OVERLAP = 0.8
MIN_COSINE = (
    0.975  # ALIGN, appendix A: of two image embeddings, "tuned on human-rated and augmented data"
)

Bits = Annotated[int, Field(ge=0, le=31)]


class CorpusConfig(Section):
    """How often things may occur in the whole crawl."""

    max_images_per_text: Count = Field(
        MAX_IMAGES_PER_TEXT,
        description="a pair's text that more different images have is dropped; 0 = off",
    )
    max_texts_per_image: Count = Field(
        MAX_TEXTS_PER_IMAGE,
        description="an image that more different texts are paired with is dropped; 0 = off",
    )
    vocabulary: Count = Field(
        VOCABULARY,
        description="so many most frequent words and pairs of words may a pair's text have; 0 = off",
    )
    max_pages_per_image: Count = Field(
        MAX_PAGES_PER_IMAGE,
        description="an image (address or bytes) on more pages is dropped from documents; 0 = off",
    )
    max_paragraph_repeats: Count = Field(
        0, description="a paragraph on more pages of one domain is dropped; 0 = off (OBELICS: 2)"
    )


class DedupConfig(Section):
    """Which documents, images and pairs are copies of one another."""

    min_jaccard: Ratio = Field(
        MIN_JACCARD,
        description="documents whose sets of 5-word shingles are estimated so alike are copies; 1 = equal texts only",
    )
    min_joint_jaccard: Ratio = Field(
        MIN_JOINT_JACCARD,
        description="the same for documents that share pictures (min_joint_images); 1 = off",
    )
    min_joint_images: Ratio = Field(
        MIN_JOINT_IMAGES, description="share of the pictures of both that must be the same"
    )
    image_distance: Bits = Field(
        MAX_IMAGE_DISTANCE,
        description="bits of PDQ in which two images that count as the same may differ; 0 = equal bytes only",
    )
    against: tuple[str, ...] = Field(
        (), description="folders of finished datasets: what they have is not taken again"
    )


class DecontaminateConfig(Section):
    """Evaluation sets that must not be in the data."""

    against: tuple[str, ...] = Field(
        (),
        description="evaluation sets: folders of images, WebDataset tars, Parquet or CSV of hashes and texts",
    )
    mode: Literal["report", "remove"] = Field(
        "remove", description="report: count and list what is found, and keep it"
    )
    drop: Literal["image", "page"] = Field(
        "image", description="what goes when an image is of an evaluation set"
    )
    image_distance: Bits = Field(
        MAX_IMAGE_DISTANCE,
        description="bits of PDQ in which an image may differ from one of theirs",
    )
    min_text_overlap: Ratio = Field(
        MIN_TEXT_OVERLAP,
        description="a document with such a share of the 13-grams of one of their texts has it; 0 = with any (GPT-3)",
    )
    encoder: str = Field(
        "",
        pattern=f"^({PLUGIN})?$",
        description='"package.module:function", a PIL image to a vector: m3w decontaminate compares these, too',
    )
    min_cosine: Ratio = Field(
        MIN_COSINE, description="of the vectors of two images that count as the same"
    )
