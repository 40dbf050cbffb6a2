"""Hypothesis without a watch: on a busy machine a slow example says nothing about the code."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
