"""The pair beside what runs already: between two containers, or two pods."""
