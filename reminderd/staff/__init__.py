"""What staff read and do, in the same way at the command line, on the front desk's pages and over the API."""
