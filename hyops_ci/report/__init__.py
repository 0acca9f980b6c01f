"""What a person reads of a run: headline, Markdown, HTML, the approver's page."""
