"""What is known of a model, from its checkpoint's files alone: facts, limits drawn from them, and both in words."""

from lesion_demo.card.folder import ModelFacts, read_facts
from lesion_demo.card.markdown import audit_text, model_card
from lesion_demo.card.metadata import card_head

__all__ = ["ModelFacts", "audit_text", "card_head", "model_card", "read_facts"]
