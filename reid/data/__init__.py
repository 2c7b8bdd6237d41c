"""Sets of person images: layouts, lists, and a cache of decoded pixels."""
