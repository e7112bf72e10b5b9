"""Other people's learners on our environments; nothing of ours depends on them."""
