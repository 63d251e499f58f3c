// What Python writes into the page: the dataclasses of fastconv/report/document.py, field by field.

export interface Document {
  fastconv: string;
  name: string;
  run: string;
  totals: Totals;
  answer: AnswerPart | null;
  inputs: string[];
  outputs: string[];
  layers: Layer[];
  /** Pairs of nodes: layers come first, then inputs, then outputs. */
  edges: [number, number][];
  peak: PeakPart;
  memory: Memory | null;
  notes: string[];
}

export interface AnswerPart {
  preprocessing: string;
  lines: string[];
  pictures: Picture[];
}

export interface Picture {
  /** A data: URI. */
  source: string;
  width: number;
  height: number;
  text: string;
}

export interface Layer {
  name: string;
  operator: string;
  implementation: string;
  reason: string;
  input: string;
  output: string;
  facts: [string, string][];
  explanation: string[];
  refusals: [string, string][];
  ms: number;
  share: number;
  flops: number;
  bytes: number;
  limit: string;
  error: ErrorPart | null;
  maps: Picture | null;
}

export interface ErrorPart {
  /** null: infinite */
  max: number | null;
  rms: number | null;
  largest: number;
  departs: boolean;
}

export interface Totals {
  ms: number;
  parameters: number;
  multiply_adds: number;
  flops: number;
}

export interface PeakPart {
  gflops: number;
  gbytes: number;
}

export interface Memory {
  bytes: number;
  tenants: Tenant[];
}

export interface Tenant {
  name: string;
  offset: number;
  bytes: number;
  first: number;
  last: number;
}
