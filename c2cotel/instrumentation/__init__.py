"""One module for each library that is measured; each can be taken out again."""
