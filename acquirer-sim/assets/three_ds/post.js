/* Posts the page's one form on: the way back to whoever framed this page. */
"use strict";
document.getElementById("on").submit();
