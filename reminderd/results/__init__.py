"""Send the changes of outcomes to the clinic's other systems, by webhooks and in files."""
