"use strict";
// Before anything is drawn: with scripts, evidence starts folded and long tables start short.
document.documentElement.className = "js";
