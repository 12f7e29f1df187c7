"""Write the log for the admin, with loguru; lines of the libraries are included, and phone numbers are masked."""
