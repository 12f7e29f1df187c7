"""Import files of a clinic's other programs: readers for their formats, and one loop for all of them."""
