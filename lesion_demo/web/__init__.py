"""The Gradio interface."""

import os

# Gradio reads this once, when it is first imported: without it, it phones home.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
