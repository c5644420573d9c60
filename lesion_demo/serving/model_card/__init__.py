"""What is known of a model, from its checkpoint's files alone: facts, limits drawn from them, and both in words."""

from lesion_demo.serving.model_card.facts import ModelFacts
from lesion_demo.serving.model_card.markdown import audit_text, model_card
from lesion_demo.serving.model_card.reading import read_facts

__all__ = ["ModelFacts", "audit_text", "model_card", "read_facts"]
