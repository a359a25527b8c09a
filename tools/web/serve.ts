/** `npm run web`: the page on this machine, with the checkpoint that ships. Needs no network. */
import { join } from "node:path";
import { createServer } from "vite";

const port = Number(process.argv[2] ?? 5173);
const server = await createServer({
  configFile: join(import.meta.dirname, "vite.config.ts"),
  server: { port },
});
await server.listen();
server.printUrls();
