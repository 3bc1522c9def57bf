/** The strict reader of one Python call. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type PythonValue, parsePythonCall } from '../../../src/spaces/darts/genotype-line.ts'

class Refused extends Error {}

const parse = (text: string) => parsePythonCall(text, (what) => new Refused(what))

test('values: lists, tuples, strings, integers, ranges', () => {
  const { name, fields } = parse(
    ` F ( a = [ ('x', 1), ["y", 2,], () ] , b=range(2, 5), c=range(3,3), d='' , e=(7), ) `,
  )
  assert.equal(name, 'F')
  assert.deepEqual(fields, { a: [['x', 1], ['y', 2], []], b: [2, 3, 4], c: [], d: '', e: [7] })
  assert.deepEqual(parse('A = F()'), { name: 'F', fields: {} })
})

test('everything else is refused with the place', () => {
  for (const [text, pattern] of [
    ['', /the text ends where a name should be/],
    ['F', /the text ends where \( should be/],
    ['F(', /the text ends/],
    ['F(a=1', /the text ends where \) should be/],
    ['F(a=1))', /character 6 is "\)" where the end should be/],
    ['F(a=1) F', /where the end should be/],
    ['F(1)', /character 2 is "1" where a name/],
    ['F(a=1, a=2)', /has a twice/],
    ['F(a=-1)', /unreadable at character 4: "-1\)"/],
    ['F(a=1.5)', /unreadable/],
    ['F(a=1e5)', /where \) should be/],
    ['F(a=1234567890)', /where \) should be/],
    ["F(a='x)", /unreadable/],
    ["F(a='\\n')", /unreadable/],
    ['F(a=[1 2])', /character 6 is "2" where \] should be/],
    ['F(a=[,])', /where a list, a string or a number should be/],
    ['F(a=(1])', /where \) should be/],
    ['F(a=__import__("os"))', /character 4 is "__import__" where a list, a string or a number should be/],
    ['F(a=os.system("ls"))', /unreadable at character 6: "\.system/],
    ['F(a=range(3))', /range\(first, end\)/],
    ['F(a=range(0, 999999999))', /unusable range/],
    ['F(a=range("a", "b"))', /unusable range/],
    ['F(a=[[[[[[[1]]]]]]])', /too deep/],
    ['A = B = F()', /where \( should be/],
    ['F(a=1);G()', /unreadable at character 6/],
    [`F(a=${' '.repeat(200_000)}1)`, /characters; give one call/],
  ] as const) {
    assert.throws(
      () => parse(text),
      (error) => error instanceof Refused && pattern.test(error.message) && !error.message.includes('\n'),
      text.slice(0, 40),
    )
  }
})

test('property: what is written is read back', () => {
  const text = fc.stringMatching(/^[\w -]{0,12}$/)
  const { value } = fc.letrec<{ value: PythonValue }>((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, fc.nat(), text, fc.array(tie('value'), { maxLength: 4 })),
  }))
  const write = (item: PythonValue): string => {
    if (typeof item === 'string') return `'${item}'`
    return typeof item === 'number' ? String(item % 1e9) : `[${item.map(write).join(', ')}]`
  }
  const known = (item: PythonValue): PythonValue => {
    if (typeof item === 'string') return item
    return typeof item === 'number' ? item % 1e9 : item.map(known)
  }
  fc.assert(
    fc.property(value, (item) => assert.deepEqual(parse(`F(a=${write(item)})`).fields, { a: known(item) })),
  )
})

test('property: any text is read or refused, never another error, and quickly', () => {
  const pieces = fc.array(
    fc.constantFrom('F', '(', ')', '[', ']', ',', '=', "'a'", '1', 'range', ' ', '\n', '"', 'é'),
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        pieces.map((found) => `F(a=${found.join('')}`),
      ),
      (text) => {
        try {
          parse(text)
        } catch (error) {
          assert.ok(error instanceof Refused)
        }
      },
    ),
    { numRuns: 500 },
  )
})
