"""Where the backbones and data of `scripts/fetch` come from, and how they become folders."""
