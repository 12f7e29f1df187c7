"""What patients hear: prompts, built-in languages, templates, and advice on wording."""
