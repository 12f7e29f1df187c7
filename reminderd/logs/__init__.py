"""Write the log that the admin reads: loguru, with the libraries' logging routed in and phone numbers masked."""
