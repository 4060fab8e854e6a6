"use strict";
// Before anything is drawn: where the script below can run, evidence starts folded and long
// tables start short. Elsewhere everything is shown.
if ("replaceChildren" in Element.prototype) document.documentElement.className = "js";
