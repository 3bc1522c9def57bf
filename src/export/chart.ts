/** Charts as SVG and PNG from a vega-lite specification, all in one style. */
import type { Config, TopLevelSpec } from 'vega-lite'

/** What a chart shows, in vega-lite's words; its data stand in it. */
export type ChartSpec = TopLevelSpec

/** A drawn chart: the SVG text and the PNG at twice its size. */
export interface Chart {
  readonly svg: string
  readonly png: Uint8Array
}

/** Pixels of the PNG per inch: two for each of the SVG, which has 72 per inch. */
const density = 144

const style: Config = {
  font: 'Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif',
  background: 'white',
  padding: 12,
  view: { stroke: '#cccccc' },
  // a limit of 0 is none: names are shown whole
  axis: {
    gridColor: '#eeeeee',
    labelFontSize: 12,
    labelLimit: 0,
    titleFontSize: 12,
    titleFontWeight: 'normal',
  },
  legend: { labelFontSize: 12, labelLimit: 0, titleFontSize: 12, titleFontWeight: 'normal' },
  header: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: 'normal' },
  title: { fontSize: 14, anchor: 'start', subtitleColor: '#555555' },
}

/** Draws a chart; the same specification gives the same bytes. What draws is loaded here: most programs draw none. */
export async function drawChart(spec: ChartSpec): Promise<Chart> {
  const [{ default: sharp }, { parse, View }, { compile }] = await Promise.all([
    import('sharp'),
    import('vega'),
    import('vega-lite'),
  ])
  const view = new View(parse(compile(spec, { config: style }).spec), { renderer: 'none' })
  try {
    const svg = await view.toSVG()
    const png = await sharp(Buffer.from(svg), { density }).png({ palette: true }).toBuffer()
    return { svg, png }
  } finally {
    view.finalize()
  }
}
