"""Who may come in: passwords, tokens, the signing secret, and the HTTP schemes that carry them."""
