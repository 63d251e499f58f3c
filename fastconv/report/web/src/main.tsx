// The page: reads the document that Python wrote into it, and shows it.

import { render } from "preact";
import { App } from "./app";
import type { Document } from "./document";

const document_: Document = JSON.parse(document.getElementById("document")!.textContent!);
render(<App document={document_} />, document.getElementById("page")!);
