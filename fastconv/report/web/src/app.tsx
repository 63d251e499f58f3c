// The sections of the page, and the layer that is selected in all of them.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Accuracy } from "./accuracy";
import { coloursOf } from "./colours";
import type { AnswerPart, Document, Picture as PictureData } from "./document";
import { bytes, count, milliseconds, rate } from "./format";
import { LayerGraph } from "./layer_graph";
import { LayerPanel } from "./layer_panel";
import { Memory } from "./memory";
import { hasRoofline, Roofline } from "./roofline";
import { Times } from "./times";

export interface Selection {
  document: Document;
  selected: number | null;
  select: (layer: number) => void;
  /** A class for the first operator of each layer. */
  colours: string[];
}

export function App({ document: doc }: { document: Document }) {
  const [selected, setSelected] = useState<number | null>(null);
  const opener = useRef<Element | null>(null);

  function select(layer: number) {
    if (selected === null) opener.current = document.activeElement;
    setSelected(layer);
  }

  function close() {
    setSelected(null);
    if (opener.current instanceof HTMLElement || opener.current instanceof SVGElement) opener.current.focus();
  }

  useEffect(() => {
    function onKey(event: KeyboardEvent) {
      if (event.key === "Escape" && selected !== null) close();
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });

  const sections = useMemo(() => sectionsOf(doc), [doc]);
  const colours = useMemo(() => coloursOf(doc.layers), [doc]);
  const selection = { document: doc, selected, select, colours };
  return (
    <div class={selected === null ? "page" : "page with-panel"}>
      <header>
        <h1>{doc.name}</h1>
        <p class="quiet">{doc.run}</p>
        <dl class="totals">
          {totalsOf(doc).map(([name, value]) => (
            <div>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        <nav aria-label="Sections">
          {sections.map(([id, title]) => (
            <a href={`#${id}`}>{title}</a>
          ))}
        </nav>
      </header>
      <main>
        {doc.answer && <AnswerSection answer={doc.answer} />}
        <LayerGraph {...selection} />
        <Times {...selection} />
        {hasRoofline(doc) && <Roofline {...selection} />}
        {doc.memory && <Memory {...selection} memory={doc.memory} />}
        {doc.layers.some((x) => x.error) && <Accuracy {...selection} />}
        <footer class="quiet">
          {doc.notes.map((note) => (
            <p>{note}</p>
          ))}
          <p>Made by fastconv {doc.fastconv}. This page is one file and loads nothing.</p>
        </footer>
      </main>
      {selected !== null && <LayerPanel {...selection} selected={selected} close={close} />}
    </div>
  );
}

function totalsOf({ totals, layers, memory }: Document): [string, string][] {
  const rows: [string, string][] = [
    ["time of a run", milliseconds(totals.ms)],
    ["rate", `${rate(totals)} GFLOP/s`],
    ["layers", count(layers.length)],
    ["parameters", count(totals.parameters)],
    ["multiply-adds", count(totals.multiply_adds)],
  ];
  return memory ? [...rows, ["memory of tensors", bytes(memory.bytes)]] : rows;
}

/** The ids and titles of the sections that the document has data for. */
function sectionsOf(doc: Document): [string, string][] {
  const all: [string, string, boolean][] = [
    ["answer", "Answer", doc.answer !== null],
    ["layers", "Layers", true],
    ["times", "Time", true],
    ["roofline", "Roofline", hasRoofline(doc)],
    ["memory", "Memory", doc.memory !== null],
    ["accuracy", "Accuracy", doc.layers.some((x) => x.error)],
  ];
  return all.filter(([, , there]) => there).map(([id, title]) => [id, title]);
}

function AnswerSection({ answer }: { answer: AnswerPart }) {
  return (
    <section id="answer" aria-labelledby="answer-title">
      <h2 id="answer-title">Answer</h2>
      <div class="answer">
        {answer.pictures.map((picture) => (
          <Picture picture={picture} />
        ))}
        <div>
          <pre>{answer.lines.join("\n")}</pre>
          {answer.preprocessing && <p class="quiet">Preprocessing: {answer.preprocessing}</p>}
        </div>
      </div>
    </section>
  );
}

export function Picture({ picture }: { picture: PictureData }) {
  return (
    <figure>
      <img src={picture.source} width={picture.width} height={picture.height} alt={picture.text} />
      <figcaption class="quiet">{picture.text}</figcaption>
    </figure>
  );
}
