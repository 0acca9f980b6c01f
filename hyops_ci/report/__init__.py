"""What a person reads of a run: headline, summary lines, HTML report, the approver's page."""
