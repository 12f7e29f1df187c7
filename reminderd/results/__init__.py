"""Results out: the changes of outcomes for the clinic's other systems, by webhooks and in files."""
