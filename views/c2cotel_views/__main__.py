"""`python -m c2cotel_views` prints the reference page of the views."""

from __future__ import annotations

from c2cotel_views import VIEWS
from c2cotel_views._reference import reference

if __name__ == "__main__":
    print(reference(VIEWS), end="")
