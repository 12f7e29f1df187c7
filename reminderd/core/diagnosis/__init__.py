"""The doctor's judgement: what was seen, made into findings that say what to do."""
