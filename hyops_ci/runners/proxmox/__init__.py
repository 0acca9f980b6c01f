"""Proxmox VE: machines cloned from a template, and the management network."""
