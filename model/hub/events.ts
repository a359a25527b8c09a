/** What a download tells while it runs. Names and fields as in transformers.js, as far as it has them. */
export type HubEvent =
  /** All files are known; `total` bytes of them are to come. */
  | {
      readonly status: "initiate";
      readonly name: string;
      readonly files: number;
      readonly total: number;
    }
  /** `loaded` of the file's `total` bytes are there; of all files `allLoaded` of `allTotal`. */
  | ProgressEvent
  | {
      readonly status: "done";
      readonly name: string;
      readonly file: string;
      readonly cached: boolean;
    }
  /** Everything is in `path`. */
  | { readonly status: "ready"; readonly name: string; readonly path: string }
  | {
      readonly status: "retry";
      readonly name: string;
      readonly message: string;
      readonly waitMs: number;
    }
  /** Another process (`owner`) fetches `file`: we wait for it. */
  | {
      readonly status: "wait";
      readonly name: string;
      readonly file: string;
      readonly owner: string;
    }
  | { readonly status: "warning"; readonly name: string; readonly message: string };

export interface ProgressEvent {
  readonly status: "progress";
  readonly name: string;
  readonly file: string;
  readonly loaded: number;
  readonly total: number;
  /** 0 to 100, of the file. */
  readonly progress: number;
  readonly allLoaded: number;
  readonly allTotal: number;
  /** The expected time until all is there, where the speed is known. */
  readonly etaMs?: number | undefined;
}
