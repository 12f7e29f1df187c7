"""What staff read and do, the same at the command line, on the front desk's pages and over the API."""
