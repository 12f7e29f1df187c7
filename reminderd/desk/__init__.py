"""The front desk's pages: who was reached, who was not, and what to do."""
