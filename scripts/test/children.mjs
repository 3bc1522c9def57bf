/** Loaded before tests that need no hooks themselves (`--import`): programs that they start load TypeScript by `typescript.mjs`. */
const own = `--import ${new URL('typescript.mjs', import.meta.url).href}`
const { NODE_OPTIONS = '' } = process.env
if (!NODE_OPTIONS.includes(own)) process.env.NODE_OPTIONS = `${NODE_OPTIONS} ${own}`.trim()
