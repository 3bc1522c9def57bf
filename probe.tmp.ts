import { makeOperation, applyOperation, reluConvBn, factorizedReduce, applyReader, operations } from './src/spaces/operations.ts'
import { namedParameters } from './src/nn/index.ts'
import { Tensor, channelsLast, Generator, grad, setRequiresGrad, setThreads, sum, tidy, fanOut, add } from './src/torch/index.ts'
setThreads(1)
const maker={device:'cpu',generator:new Generator(0)}
const img=(n:number,C:number,S:number)=>channelsLast(Tensor.from(Float32Array.from({length:n*C*S*S},()=>maker.generator.normal()),[n,C,S,S]))
function op(name:string,C:number,S:number,st:number){ tidy(()=>{ const x=img(2,C,S); const o=makeOperation(name as any,{channels:C,stride:st as 1|2,affine:true},maker); const p=[x,...namedParameters(o).values()]; setRequiresGrad(p,true); const y=applyOperation(o,x,true); grad(sum(y),p)})}
function rd(parts:number[],out:number,S:number,fr:boolean){ tidy(()=>{ const xs=parts.map(c=>img(2,c,S)); const r=(fr?factorizedReduce:reluConvBn)(parts.reduce((a,b)=>a+b),out,true,maker); const p=[...xs,...namedParameters(r).values()]; setRequiresGrad(p,true); grad(sum(applyReader(r,xs,true)),p)})}
function fan(C:number,S:number,k:number){ tidy(()=>{ const x=img(2,C,S); setRequiresGrad([x],true); const h=fanOut(x,k); grad(sum(h.reduce((a,b)=>add(a,b))),[x])})}
const log=(s:string)=>process.stderr.write(s+'\n')
for (const S of [56,28,14,7]) for (const C of [4,8,16]) {
 for (const k of [1,2,3,4,5]) { log(`fan ${C} ${S} ${k}`); fan(C,S,k) }
 for (const parts of [[4],[4,4,4,4],[8,8,8,8],[16,16,16,16]]) for (const fr of S%2?[false]:[false,true]) { log(`rd ${parts} ${C} ${S} ${fr}`); rd(parts,C,S,fr) }
 for (const n of Object.keys(operations)) if(n!=='none') for (const st of S%2?[1]:[1,2]) { log(`${n} ${C} ${S} ${st}`); for(let i=0;i<3;i++) op(n,C,S,st) }
}
log('done')
