"""The pages of the front desk: what staff see and do in a browser."""
