"""How verdicts are shown: figures for people, a page with pictures (`page`, `pictures`), JUnit, Markdown."""
