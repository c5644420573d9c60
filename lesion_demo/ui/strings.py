"""Every text of the page, in one place. None of it states a class, a threshold or a figure: those come in from outside.

What stands in braces is filled in by `fragments.py`, which escapes it.
"""

from __future__ import annotations

TITLE = "Skin lesion classifier"
DISCLAIMER = (
    "For research and education. It is not a medical device, and it neither confirms nor excludes cancer: "
    "a lesion that worries you calls for a doctor’s eyes, whatever stands here."
)

PICTURE_LABEL = "Picture of one lesion"
PICTURE_HINT = "Drop a picture here, paste one,\nor tap to choose"
PICTURE_ALT = "The picture you chose"
HEAT_LABEL = "Heat map: where, not why"
HEAT_ALT = "The picture under the model’s heat map"
HEAT_CAPTION = (
    "<strong>Where, not why.</strong> The brighter an area, the more it raised the score for malignant (Grad-CAM), "
    "compared with the rest of this picture. It gives no reason, and it is no sign that the model is right. "
    "Outside of the square that the model sees there is no colour."
)
HEAT_EMPTY = "No area of this picture raised the score for malignant: the heat map is empty."

EMPTY_HEADING = "No picture yet"
EMPTY_TEXT = (
    "Choose a close, sharp, evenly lit picture with one lesion in its middle. "
    "It is analysed where this app runs, is deleted within the hour, and trains nothing."
)
UNREADABLE_HEADING = "This file cannot be read"

VERDICT_LABEL = "The model’s verdict"
PROBABILITY_LABEL = "this picture"
THRESHOLD_LABEL = "threshold"
ABOVE = "The calibrated probability of malignancy, {probability}, is at or above the threshold of {threshold}."
BELOW = "The calibrated probability of malignancy, {probability}, is below the threshold of {threshold}."
ADVICE = {
    "malignant": "Have a doctor look at the lesion. The model raises false alarms, and only a doctor can tell.",
    "benign": "This does not rule out cancer. If the lesion is new, changes, bleeds or worries you, see a doctor.",
}
MEASURED = (
    "On {pictures} test pictures, this threshold found {sensitivity} of the malignant lesions and called {alarms} of "
    "the benign ones malignant by mistake."
)
PREVALENCE = (
    "The probability holds where {prevalence} of the pictures are malignant. Where fewer are, as in everyday life, it "
    "is too high."
)

WARNING_HEADING = "Take this picture again, if you can"
WARNING_LEAD = "The verdict below is less reliable than usual:"

POINT_LABEL = "Operating point: which mistake matters more?"
POINTS = {
    "sensitive": "Sensitive: fewest misses, more false alarms",
    "balanced": "Balanced: both mistakes weigh the same",
    "f1": "F1: finds malignant ones, seldom warns in vain",
    "accuracy": "Accuracy: most pictures right, of either kind",
}

EXAMPLES_LABEL = "Examples: artificial, drawn by a program"
EXAMPLE_PREFIX = "artificial"

MODEL_LINE = "Model: {backbone}, checkpoint {name}, validation ROC-AUC {roc_auc}."
