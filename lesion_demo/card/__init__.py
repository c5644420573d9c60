"""What is known of a model, from its checkpoint's files alone: facts, limits drawn from them, and both in words."""

from lesion_demo.card.folder import ModelFacts, read_facts
from lesion_demo.card.markdown import audit_text, model_card

__all__ = ["ModelFacts", "audit_text", "model_card", "read_facts"]
