"""The board table: what is known of each model, every constant with its source."""
