"""From folders and tables to pictures with a class, split and drawn for training."""
