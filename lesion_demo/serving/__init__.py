"""From a checkpoint and a picture to an explained verdict."""
