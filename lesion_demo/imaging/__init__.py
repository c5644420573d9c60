"""Pictures: reading them, finding the lit field, preparing them for a network, judging their quality."""
