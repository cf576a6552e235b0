"""A detector of CVAT: boxes of a photo from the run that lies beside this file."""

import base64
import json
from pathlib import Path
from typing import Any

import wsol


def init_context(context: Any) -> None:
    """Opens the run, once for each worker."""
    context.user_data.localizer = wsol.load(Path(__file__).with_name("run"))
    context.logger.info(f"opened {context.user_data.localizer}")


def handler(context: Any, event: Any) -> Any:
    """Answers `{"image": base64, "threshold": 0.5}` with a list of labelled rectangles.

    `confidence` is how likely class and box are both right; those below the threshold, 0 by default, are left out.
    """
    asked = event.body if isinstance(event.body, dict) else json.loads(event.body)
    least = float(asked.get("threshold") or 0)
    result = wsol.locate(context.user_data.localizer, base64.b64decode(asked["image"]))[0]
    found = [
        {"label": finding.name, "confidence": str(round(score, 4)), "type": "rectangle", "points": box}
        for finding in result.findings
        for score, box in zip(finding.box_scores.tolist(), finding.boxes.round(2).tolist(), strict=True)
        if score >= least
    ]
    return context.Response(body=json.dumps(found), headers={}, content_type="application/json", status_code=200)
