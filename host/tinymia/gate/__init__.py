"""A gate for product teams: is what an audit measured good enough to ship, and what is it evidence
of?

It stands behind the report, whose words it uses, and decides: rules on figures and their bounds,
two studies held against each other, rows of evidence, a bill of materials.
"""
