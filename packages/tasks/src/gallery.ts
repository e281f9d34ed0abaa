/**
 * Looking at the suite: sample items as a self-contained HTML page. Each card shows the original, the 32 x 32 view that the model sees, the crop that the right
 * zoom gives, wording, gold, the right calls and the documents. Not here: the same as one PNG (contact-sheet.ts), writing files (apps/train).
 */
import type { DemonstratedCall } from './demonstrate.ts'
import { boxFilter, cropToBox, encodePng, toDataUri } from './picture.ts'
import type { Picture, Question } from './question.ts'

/** Says which calls a card shows; `rightCalls` is the usual one. */
export type DemonstrationFor = (question: Question) => readonly DemonstratedCall[]

export interface CaptionedPicture {
  readonly caption: string
  readonly picture: Picture
}

/** What a card shows, whatever draws it. */
export interface GalleryCard {
  readonly question: Question
  /** Original, view, and a crop for each call that zooms. */
  readonly pictures: readonly CaptionedPicture[]
  /** Known pictures of an image search, small. */
  readonly thumbnails: readonly CaptionedPicture[]
  readonly wording: string
  readonly facts: string
  readonly calls: readonly string[]
  readonly documents: string
}

/** The model's image processor reduces the original by this factor. */
const viewFactor = 4
/** Where the icon of a gallery picture stands, 0-1000. */
const iconBox = [250, 250, 750, 750]

export function questionText(question: Question): string {
  const parts = question.messages.flatMap(({ content }) =>
    typeof content === 'string' ? [content] : content.flatMap((part) => (part.type === 'text' ? [part.text] : [])),
  )
  return parts.join('\n')
}

export function createCard(question: Question, demonstrationFor: DemonstrationFor): GalleryCard {
  const original = question.images[0]!
  const calls = demonstrationFor(question)
  const view = boxFilter(original, viewFactor)
  const crops = calls.flatMap(({ arguments: { bbox_2d: box } }) =>
    Array.isArray(box) ? [{ caption: `crop ${box.join(' ')}`, picture: cropToBox(original, box as number[]) }] : [],
  )
  return {
    question,
    pictures: [
      { caption: `original ${original.width}x${original.height}`, picture: original },
      { caption: `view ${view.width}x${view.height}`, picture: view },
      ...crops,
    ],
    thumbnails: question.gallery.map(({ title, image }) => ({
      caption: title,
      picture: boxFilter(cropToBox(image, iconBox), viewFactor),
    })),
    wording: questionText(question),
    facts: `gold ${question.gold}${question.easy ? ', easy' : ''}${question.spec.family === 'image_search' ? `, ${question.spec.variant} of e${question.spec.entity}` : ''}`,
    calls: calls.map(
      (call) => `${call.name} ${JSON.stringify(call.arguments)}${call.reading === null ? '' : ` -> ${call.reading}`}`,
    ),
    documents: question.documents.map((d) => `${d.title} = ${d.text}`.replaceAll(' ', '\u00a0')).join(', '),
  }
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (c) => escapes[c]!)

function figure({ caption, picture }: CaptionedPicture, side: number): string {
  const source = toDataUri(encodePng(picture))
  return `<figure><img src="${source}" width="${side}" height="${side}" alt="${escapeHtml(caption)}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`
}

function cardHtml(card: GalleryCard): string {
  const { question } = card
  const calls = card.calls.map((call) => `<li><code>${escapeHtml(call)}</code></li>`).join('')
  const thumbnails = card.thumbnails.map((t) => figure(t, 64)).join('')
  const documents = card.documents
    ? `<details open><summary>${question.documents.length} documents</summary>${escapeHtml(card.documents)}</details>`
    : ''
  return `<article><h3>${escapeHtml(question.id)}</h3><div class="row">${card.pictures.map((p) => figure(p, 192)).join('')}</div>
<p class="wording">${escapeHtml(card.wording)}</p><p><b${question.easy ? ' class="easy"' : ''}>${escapeHtml(card.facts)}</b></p>
<ol>${calls}</ol>${documents}${thumbnails && `<div class="row small">${thumbnails}</div>`}</article>`
}

const style = `body{font:14px/1.45 system-ui,sans-serif;margin:24px;background:#f4f4f2;color:#1c1c1c}h2{margin:28px 0 10px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,640px),1fr));gap:14px}
article{background:#fff;border:1px solid #d9d9d4;border-radius:6px;padding:12px 14px}h3{margin:0 0 8px;font-size:14px;color:#666;font-weight:500}
.row{display:flex;flex-wrap:wrap;gap:10px}.small{margin-top:10px;gap:6px}figure{margin:0}img{display:block;image-rendering:pixelated}
figcaption{font-size:12px;color:#666;text-align:center}.wording{font-size:17px;margin:10px 0 4px}p{margin:4px 0}.easy{color:#a14b00}
ol{margin:6px 0;padding-left:22px}details{font-size:12px;color:#444}`

/** A self-contained page: no script, no file beside it. Questions are grouped by family, in the order given. */
export function renderGallery(questions: readonly Question[], demonstrationFor: DemonstrationFor): string {
  const families = [...new Set(questions.map((q) => q.family))]
  const sections = families.map((family) => {
    const cards = questions.filter((q) => q.family === family).map((q) => cardHtml(createCard(q, demonstrationFor)))
    return `<section><h2>${family} (${cards.length})</h2><div class="cards">${cards.join('\n')}</div></section>`
  })
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>GapWorld items</title><style>${style}</style></head>
<body><h1>GapWorld: ${questions.length} sample items</h1>
<p>The model sees the view only; tools work on the original. Gold and right calls are shown for the reader.</p>
${sections.join('\n')}</body></html>
`
}
